package import NIOCore

/// UTF-8 as RFC 3629 has it, told apart from what only looks like it, without making a `String`.
package enum UTF8Text {
    /// Whether all readable bytes are UTF-8.
    package static func holds(_ buffer: ByteBuffer) -> Bool {
        let bytes = buffer.readableBytesUInt8Span
        var position = 0
        while position < bytes.count {
            guard let length = self.scalarByteCount(bytes, at: position) else { return false }
            position += length
        }
        return true
    }

    /// Up to where the readable bytes, looked at from `start` on, are whole characters, if more may still come: what is
    /// behind is the beginning of one. Nil: it can not become any.
    package static func end(in buffer: ByteBuffer, from start: Int) -> Int? {
        let bytes = buffer.readableBytesUInt8Span
        var position = start
        while position < bytes.count {
            if let length = self.scalarByteCount(bytes, at: position) {
                position += length
            } else {
                return self.isBeginning(bytes, from: position) ? position : nil
            }
        }
        return position
    }

    /// Whether what is there, one to three bytes, begins a character: some bytes behind it would make one.
    private static func isBeginning(_ bytes: Span<UInt8>, from position: Int) -> Bool {
        guard bytes.count - position < 4 else { return false }
        var padded: [UInt8] = []
        for index in position..<bytes.count { padded.append(bytes[index]) }
        // Any second byte that is allowed lies in one of these quarters; any other byte is 0x80 or more.
        for second in [0x80, 0x90, 0xA0] as [UInt8] {
            var whole = padded
            if whole.count == 1 { whole.append(second) }
            while whole.count < 4 { whole.append(0x80) }
            if let length = self.scalarByteCount(whole.span, at: 0), length > padded.count { return true }
        }
        return false
    }

    /// The bytes of the scalar at `position`, 1 to 4; nil when there is none, or not a whole one.
    package static func scalarByteCount(_ bytes: Span<UInt8>, at position: Int) -> Int? {
        guard position < bytes.count else { return nil }
        let first = bytes[position]
        if first < 0x80 { return 1 }
        // Which second byte is allowed depends on the first: that is what keeps overlong forms, surrogates and what
        // lies beyond U+10FFFF out.
        let length: Int
        let second: ClosedRange<UInt8>
        switch first {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard bytes.count - position >= length, second.contains(bytes[position + 1]) else { return nil }
        for index in (position + 2)..<max(position + 2, position + length) {
            guard (0x80...0xBF).contains(bytes[index]) else { return nil }
        }
        return length
    }
}
