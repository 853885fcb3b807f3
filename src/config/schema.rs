//! The JSON Schema of the template format, for editors: `segue schema`.
