//! What has to hold for the repository as a whole: see `tidy/` and `e2e/`.
