"""JSON values that users write and give: their places, the conditions on them, and where they do not fit a schema."""
