//! Where a row goes: by the hash of its group's name, so that it goes there again next time, whatever else the tree holds.

use sha2::{Digest, Sha256};

use crate::options::{Ratios, SplitBy};
use crate::row::Split;

/// What must stay together with the file: a project, a folder or the file itself.
pub(crate) fn group<'a>(by: SplitBy, project: &'a str, path: &'a str) -> &'a str {
    match by {
        SplitBy::Project => project,
        SplitBy::Directory => path.rsplit_once('/').map_or(".", |(folder, _)| folder),
        SplitBy::File => path,
    }
}

/// Where a group goes.
pub(crate) fn split(group: &str, ratios: Ratios) -> Split {
    let hash = Sha256::digest(group.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    let parts = ratios.parts().map(u64::from);
    // The remainder of 64 random bits by a small number is as good as uniform.
    let mut place = u64::from_be_bytes(first) % parts.iter().sum::<u64>();
    for (split, part) in Split::ALL.into_iter().zip(parts) {
        if place < part {
            return split;
        }
        place -= part;
    }
    // Not reached: the place is below the sum of the parts.
    Split::Train
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_goes_where_its_name_says() {
        let ratios: Ratios = "80,10,10".parse().unwrap();
        let first: Vec<Split> = (0..1000).map(|n| split(&format!("project-{n}"), ratios)).collect();
        let again: Vec<Split> = (0..1000).map(|n| split(&format!("project-{n}"), ratios)).collect();
        assert_eq!(first, again);
        let share = |wanted| first.iter().filter(|&&split| split == wanted).count();
        assert!((750..850).contains(&share(Split::Train)), "{}", share(Split::Train));
        assert!((70..130).contains(&share(Split::Valid)), "{}", share(Split::Valid));
        assert!((70..130).contains(&share(Split::Test)), "{}", share(Split::Test));
    }

    #[test]
    fn a_part_of_zero_gets_nothing() {
        let ratios: Ratios = "1,0,1".parse().unwrap();
        assert!((0..200).all(|n| split(&n.to_string(), ratios) != Split::Valid));
        assert_eq!(split("a", "0,0,1".parse().unwrap()), Split::Test);
    }

    #[test]
    fn groups() {
        let cases = [
            (SplitBy::Project, "p", "p/a/B.java", "p"),
            (SplitBy::Directory, "p", "p/a/B.java", "p/a"),
            (SplitBy::Directory, "tree", "B.java", "."),
            (SplitBy::File, "p", "p/a/B.java", "p/a/B.java"),
        ];
        for (by, project, path, expected) in cases {
            assert_eq!(group(by, project, path), expected);
        }
    }
}
