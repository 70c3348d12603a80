/// Text that is equal only to the same bytes.
///
/// Swift's `String` takes two spellings of one character ("é" as one scalar, or as "e" and an accent) for the same
/// text. For a name that decides what somebody may do that is an alias nobody granted: Kafka, its clients and every
/// identity provider compare bytes. Ordered by bytes, too.
package struct ExactText: Sendable {
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    package var utf8: String.UTF8View { self.text.utf8 }
    package var isEmpty: Bool { self.text.isEmpty }

    package func hasPrefix(_ prefix: ExactText) -> Bool {
        self.utf8.starts(with: prefix.utf8)
    }
}

extension ExactText: Hashable {
    package static func == (left: ExactText, right: ExactText) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        // A decision hashes three names; byte by byte that is a third of its time.
        let hashed: Void? = self.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if hashed == nil { for byte in self.utf8 { hasher.combine(byte) } }
    }
}

extension ExactText: Comparable {
    package static func < (left: ExactText, right: ExactText) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension ExactText: ExpressibleByStringLiteral, CustomStringConvertible {
    package init(stringLiteral value: String) {
        self.init(value)
    }

    package var description: String { self.text }
}
