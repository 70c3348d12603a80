import NIOCore

/// What a file may hold after a crash: for each byte, what it was at the last sync that succeeded, or since.
///
/// The zeros behind what was written, which an allocation adds, are a favour: the journal does not promise them.
struct PromisedFile {
    private struct Version {
        var bytes: [UInt8]
        /// Without the zeros of allocations.
        var size: Int

        subscript(index: Int) -> UInt8 { index < self.bytes.count ? self.bytes[index] : 0 }
    }

    /// As a read sees it.
    private(set) var current: [UInt8] = []
    /// Contents since the last sync that succeeded, the oldest first: the one at that sync, and after each change.
    private var versions = [Version(bytes: [], size: 0)]
    private var size = 0
    /// Nothing is known of it: it was being made or removed.
    var isUncertain = false

    mutating func wrote(_ bytes: [UInt8], at position: Int) {
        let end = position + bytes.count
        if end > self.current.count { self.current += [UInt8](repeating: 0, count: end - self.current.count) }
        self.current.replaceSubrange(position..<end, with: bytes)
        self.size = max(self.size, end)
        self.changed()
    }

    mutating func truncated(to size: Int) {
        self.current.removeLast(self.current.count - size)
        self.size = size
        self.changed()
    }

    mutating func allocated(upTo size: Int) {
        self.current += [UInt8](repeating: 0, count: max(0, size - self.current.count))
        self.changed()
    }

    private mutating func changed() { self.versions.append(Version(bytes: self.current, size: self.size)) }

    mutating func synced() { self.versions = [Version(bytes: self.current, size: self.size)] }

    /// Something failed half way: this is what can be read now.
    mutating func found(_ bytes: [UInt8]) {
        self.current = bytes
        self.size = bytes.count
        self.changed()
    }

    /// It was looked at after a crash and is what it is.
    mutating func settled(_ bytes: [UInt8]) {
        self.found(bytes)
        self.synced()
        self.isUncertain = false
    }

    /// Why these can not be the contents after a crash; nil if they can.
    func objection(to bytes: [UInt8]) -> String? {
        if self.isUncertain { return nil }
        guard let least = self.versions.map(\.size).min(), let most = self.versions.map(\.bytes.count).max() else {
            return "no version"
        }
        guard (least...most).contains(bytes.count) else { return "\(bytes.count) bytes, not \(least) to \(most)" }
        for (index, byte) in bytes.enumerated() where !self.versions.contains(where: { $0[index] == byte }) {
            return "byte \(index) is \(byte), not one of \(Set(self.versions.map { $0[index] }).sorted())"
        }
        return nil
    }
}
