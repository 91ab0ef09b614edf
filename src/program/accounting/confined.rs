//! Confinement of a program to one CPU.

/// Confinement of all threads seen so far to the same CPU.
#[derive(Debug, Clone, Copy)]
pub(super) enum Confined {
    Unknown,
    To(usize),
    Not,
}

impl Confined {
    /// Notes another thread, with the one CPU that it may run on, if it is one.
    pub(super) fn by(&mut self, only_cpu: Option<usize>) {
        *self = match (*self, only_cpu) {
            (Confined::Unknown, Some(cpu)) => Confined::To(cpu),
            (Confined::To(one), Some(other)) if one == other => Confined::To(one),
            _ => Confined::Not,
        }
    }

    /// Returns the CPU that all were confined to.
    pub(super) fn cpu(self) -> Option<usize> {
        match self {
            Confined::To(cpu) => Some(cpu),
            Confined::Unknown | Confined::Not => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_elsewhere_or_anywhere_is_enough_to_know() {
        let of = |threads: &[Option<usize>]| {
            let mut confined = Confined::Unknown;
            threads.iter().for_each(|only_cpu| confined.by(*only_cpu));
            confined.cpu()
        };
        assert_eq!((of(&[]), of(&[Some(3)]), of(&[Some(3), Some(3)])), (None, Some(3), Some(3)));
        assert_eq!((of(&[Some(3), Some(4)]), of(&[Some(3), None, Some(3)]), of(&[None])), (None, None, None));
    }
}
