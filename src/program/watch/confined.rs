//! Whether a program had one CPU.

/// Whether all threads had to run on the same CPU.
#[derive(Debug, Clone, Copy)]
pub(super) enum Confined {
    Unknown,
    To(usize),
    Not,
}

impl Confined {
    /// Notes one more thread, with the CPU that it had to run on, if it was one.
    pub(super) fn by(&mut self, only_cpu: Option<usize>) {
        *self = match (*self, only_cpu) {
            (Confined::Unknown, Some(cpu)) => Confined::To(cpu),
            (Confined::To(one), Some(other)) if one == other => Confined::To(one),
            _ => Confined::Not,
        }
    }

    /// The CPU that all had to run on.
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
