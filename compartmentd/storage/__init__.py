"""Storage: configuration and state files, certificates, stored generations, and a watcher for changes.

The public face: `files.Disk` reads files for the compiler, `certificates.read_certificate` loads the listeners'
certificate, `revocations.open_state` opens the state directory, `generations` stores accepted configurations, and
`watcher.Watcher` follows files.
"""
