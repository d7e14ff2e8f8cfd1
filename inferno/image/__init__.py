"""OCI and Docker images: what a reference means (`reference`), where its bytes are (`source`), its base (`base`)."""
