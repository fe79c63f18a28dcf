//! The routes under schemathesis: thousands of requests made from the documents, none of which may be answered otherwise than they say.
