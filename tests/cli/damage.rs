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

#[test]
fn a_registry_of_any_length_is_told_of_as_what_the_next_opening_rebuilds() {
    // One cut to 64 bytes ended check with "Index out-of-range", and one of a terabyte with SIGABRT.
    let project = Project::shop_with_profiles();
    let registry = project.path("store/registry.redb");
    let good = std::fs::read(&registry).unwrap();
    for len in [1, 9, 64, 128, 319, 320, 512, 4_096, 1 << 40] {
        std::fs::write(&registry, &good[..good.len().min(usize::try_from(len).unwrap())]).unwrap();
        std::fs::File::options().write(true).open(&registry).unwrap().set_len(len).unwrap();
        let ran = project.run(&["check"]);
        let said = ran.stdout() + &ran.stderr();
        assert_eq!(ran.status(), 0, "{len} bytes: {said}");
        assert!(said.contains("derived   registry.redb"), "{len} bytes: {said}");
    }
    std::fs::write(&registry, &good[..64]).unwrap();
    let ran = project.run(&["snapshot", "after"]);
    assert!(ran.status() == 0 && ran.stderr().contains("the registry is rebuilt from MANIFEST"), "{}", ran.stderr());
    project.run(&["check"]).done();
}
