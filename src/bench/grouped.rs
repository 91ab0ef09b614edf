//! Values by what they have in common.

/// Groups values by their keys, in the order in which the keys first come.
pub(crate) fn by_key<K: PartialEq, V>(values: impl IntoIterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in values {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_their_values_keep_their_order() {
        assert_eq!(by_key([('b', 3), ('a', 1), ('b', 2)]), [('b', vec![3, 2]), ('a', vec![1])]);
    }
}
