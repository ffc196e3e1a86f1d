//! The ci action: build, test and smoke-test an image.
