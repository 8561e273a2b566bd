//! Processes that outlive the server: each runs under a small supervisor process, its output and exit status on disk.
