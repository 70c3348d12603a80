package import ApusCore

extension Log {
    /// Closes the segment that is written to when all of it lies below the start of the log, so that its file can go
    /// with the next look of retention. Small ones stay: a file for each minute costs more than their bytes.
    /// - Returns: whether it did.
    package mutating func closeFreed(atLeast byteCount: ByteCount, wall: Timestamp) -> Bool {
        guard self.takesAppends, self.ahead.isEmpty, self.writing.isOnDisk, self.writing.mark == self.writing.written,
            self.work.flight == nil, self.writing.mark.end > self.writing.base,
            self.writing.mark.end <= self.startOffset, self.writing.mark.byteCount >= byteCount.rawValue
        else { return false }
        self.closeWriting(wall: wall)
        return true
    }
}
