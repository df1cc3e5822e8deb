"""Reports for people, as values: `page` writes them as one file of HTML, `charts` draws."""
