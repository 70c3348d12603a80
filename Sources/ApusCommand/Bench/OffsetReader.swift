package import NIOCore

/// Finds the offsets of the records that are pushed, `"offset":NUMBER`, wherever reads cut them.
///
/// It looks for one letter that is rare in what a load's records have, so that it costs the load generator little.
package struct OffsetReader {
    /// Behind the quotation mark.
    private static let name = Array("offset\":".utf8)
    private static let first = UInt8(ascii: "o")
    private var matched = 0
    private var value: Int64?

    package init() {}

    package mutating func feed(_ chunk: ByteBuffer, _ found: (Int64) -> Void) {
        chunk.withUnsafeReadableBytes { bytes in
            var index = 0
            while index < bytes.count {
                if self.matched == 0, self.value == nil {
                    while index < bytes.count, bytes[index] != Self.first { index += 1 }
                    guard index < bytes.count else { return }
                }
                // What goes on with nothing may begin something.
                if self.take(bytes[index], found) { index += 1 }
            }
        }
    }

    /// - Returns: whether something was begun, so that the byte that follows matters.
    private mutating func take(_ byte: UInt8, _ found: (Int64) -> Void) -> Bool {
        if let value = self.value {
            if byte >= 0x30, byte <= 0x39 {
                self.value = value &* 10 &+ Int64(byte &- 0x30)
                return true
            }
            found(value)
            self.value = nil
            return false
        }
        guard byte == Self.name[self.matched] else {
            // The name has its first letter nowhere else: what does not go on may only begin anew, with this byte.
            self.matched = 0
            return false
        }
        self.matched += 1
        if self.matched == Self.name.count { (self.matched, self.value) = (0, 0) }
        return true
    }
}

/// Keeps the end of what a server pushes, and finds the cursor in it: what a client would bring when it comes back.
package struct CursorTail {
    private static let name = Array("\"cursor\":\"".utf8)
    /// A cursor of one partition, and what stands around it, fit.
    private static let bytesMax = 256
    private var tail: [UInt8] = []

    package init() {}

    package mutating func feed(_ chunk: ByteBuffer) {
        self.tail += chunk.readableBytesView.suffix(Self.bytesMax)
        if self.tail.count > Self.bytesMax { self.tail.removeFirst(self.tail.count - Self.bytesMax) }
    }

    /// Nil: none has come whole, or too much came behind it.
    package var cursor: String? {
        for start in self.tail.indices.reversed() where self.tail[start...].starts(with: Self.name) {
            let text = self.tail[(start + Self.name.count)...]
            guard let end = text.firstIndex(of: UInt8(ascii: "\"")) else { continue }
            return String(decoding: text[..<end], as: UTF8.self)
        }
        return nil
    }
}
