"""GraphQL at an HTTP mount: operations read, decided field by field, composed anew, and their answers shaped."""
