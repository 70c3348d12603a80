/// Text that is equal only to the same bytes.
///
/// Swift's `String` takes two spellings of one character ("é" as one scalar, or as "e" and an accent) for the same
/// text. For a name that decides what somebody may do that is an alias nobody granted: Kafka, its clients and every
/// identity provider compare bytes. Ordered by bytes, too.
package struct ExactText: Sendable {
    package let text: String

    package init(_ text: String) {
        var text = text
        // Native and contiguous from here on, so that ``withBytes`` copies nothing.
        text.makeContiguousUTF8()
        self.text = text
    }

    package var utf8: String.UTF8View { self.text.utf8 }
    package var isEmpty: Bool { self.text.isEmpty }

    package func hasPrefix(_ prefix: ExactText) -> Bool {
        self.commonCount(with: prefix) == prefix.utf8.count
    }

    /// How many bytes at the front are the same.
    func commonCount(with other: ExactText) -> Int {
        self.withBytes { left in
            other.withBytes { right in
                let count = min(left.count, right.count)
                var index = 0
                while index < count, left[index] == right[index] { index += 1 }
                return index
            }
        }
    }

    /// The eight bytes from `start` on as a number that orders as they do; zeros where there are none.
    func head(from start: Int) -> UInt64 {
        self.withBytes { bytes in
            var head: UInt64 = 0
            for index in start..<(start + 8) {
                head = head << 8 | (index < bytes.count ? UInt64(bytes[index]) : 0)
            }
            return head
        }
    }

    /// Going through `String.UTF8View` byte by byte costs ten times as much: a decision of ``AclSet`` with 10,000 rules
    /// took microseconds that way.
    private func withBytes<Answer>(_ body: (UnsafeBufferPointer<UInt8>) -> Answer) -> Answer {
        if let answer = self.text.utf8.withContiguousStorageIfAvailable(body) { return answer }
        return Array(self.text.utf8).withUnsafeBufferPointer(body)
    }
}

extension ExactText: Hashable {
    package static func == (left: ExactText, right: ExactText) -> Bool {
        left.utf8.count == right.utf8.count && left.commonCount(with: right) == left.utf8.count
    }

    package func hash(into hasher: inout Hasher) {
        self.withBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension ExactText: Comparable {
    package static func < (left: ExactText, right: ExactText) -> Bool {
        left.withBytes { left in
            right.withBytes { right in
                let count = min(left.count, right.count)
                var index = 0
                while index < count, left[index] == right[index] { index += 1 }
                return index < count ? left[index] < right[index] : left.count < right.count
            }
        }
    }
}

extension ExactText: ExpressibleByStringLiteral, CustomStringConvertible {
    package init(stringLiteral value: String) {
        self.init(value)
    }

    package var description: String { self.text }
}
