"""Parts of VersionRepository: templates, version trees, duplicates."""
