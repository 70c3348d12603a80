import ApusCore
import Glibc
import NIOCore

/// Many buffers written one behind the other, in as few system calls as the kernel takes: 1024 pieces each, and again
/// from where it stopped when it wrote less.
struct GatheredWrite {
    /// IOV_MAX on Linux.
    static let piecesMax = 1024

    private let file: DiskPath
    private let descriptor: Int32

    init(_ file: DiskPath, _ descriptor: Int32) {
        self.file = file
        self.descriptor = descriptor
    }

    func run(_ buffers: [ByteBuffer], at position: FilePosition) throws(DiskError) {
        precondition(position >= .start)
        // The pointers leave their closures: sound because `buffers` holds every storage until the end of this scope,
        // and a storage that is held twice is never written in place (copy on write).
        var pieces = buffers.compactMap { buffer in
            buffer.withUnsafeReadableBytesWithStorageManagement { bytes, _ -> iovec? in
                guard let start = bytes.baseAddress, !bytes.isEmpty else { return nil }
                return iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: bytes.count)
            }
        }
        defer { withExtendedLifetime(buffers) {} }
        try pieces.withUnsafeMutableBufferPointer { (pieces) throws(DiskError) in
            try self.writeAll(pieces, at: Int(position.rawValue))
        }
    }

    private func writeAll(_ pieces: UnsafeMutableBufferPointer<iovec>, at start: Int) throws(DiskError) {
        var position = start
        var next = 0
        while next < pieces.count, let base = pieces.baseAddress {
            let count = Int32(min(pieces.count - next, Self.piecesMax))
            let written = try systemCall("write", self.file) { pwritev(self.descriptor, base + next, count, position) }
            // Nothing written and no error: a device that would let us go round for ever.
            guard written > 0 else { throw DiskError(errno: EIO, "write", self.file) }
            position += written
            next = self.skip(written, in: pieces, from: next)
        }
    }

    /// Takes `bytes` off the front of the pieces from `first` on. Answers the first piece with something left.
    private func skip(_ bytes: Int, in pieces: UnsafeMutableBufferPointer<iovec>, from first: Int) -> Int {
        var left = bytes
        var index = first
        while index < pieces.count, left >= pieces[index].iov_len {
            left -= pieces[index].iov_len
            index += 1
        }
        if left > 0, index < pieces.count {
            pieces[index].iov_base += left
            pieces[index].iov_len -= left
        }
        return index
    }
}
