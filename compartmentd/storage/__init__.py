"""What the disk holds: configuration and state files, certificates, kept generations, and watching for changes."""
