//! Packages of Arch and its derivatives.
