/// Bounds of what is given back to the file system from within a file.
extension Limits {
    /// The blocks that file systems have.
    public static let fileSystemBlockBytes = ByteCount.kibibytes(4)
    /// Blocks of the first segment that must be free since the last time before a hole is punched. A hole costs a
    /// system call and the look into an index file.
    public static let holeBlocksMin = 16
}
