//! Damaged files of the store, as whoever runs a command meets them.

use crate::support::Project;

#[test]
fn a_damaged_registry_is_told_of_in_words_and_never_as_a_panic() {
    let project = Project::shop_with_profiles();
    let registry = project.path("store/registry.redb");
    let good = std::fs::read(&registry).unwrap();
    // What redb answers with a panic: some of the bits of its second page.
    let mut told = 0;
    for at in (4_096..4_224).filter(|&at| good[at] != 0) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x80;
        std::fs::write(&registry, damaged).unwrap();
        let ran = project.run(&["check"]);
        let said = ran.stderr() + &ran.stdout();
        assert!(!said.contains("panicked"), "bit 7 of byte {at}: {said}");
        told += usize::from(said.contains("redb cannot make sense of the file"));
    }
    assert!(told > 0, "no flipped bit made redb panic: choose others");
}
