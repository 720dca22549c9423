//! The CPG front end for Java, over tree-sitter-java.
