//! What fuzz targets reach of this crate beyond its interface. Built with `--cfg fuzzing`, as cargo-fuzz does, and with
//! this crate's tests, so that what no longer compiles is seen at once.

pub use crate::legacy::fuzzing::rewrite;
pub use crate::terminate::fuzzing::terminate;
