//! From a syntax tree to the edges that need no knowledge of the language.
