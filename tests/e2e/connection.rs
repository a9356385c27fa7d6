//! The connection to the plane.
