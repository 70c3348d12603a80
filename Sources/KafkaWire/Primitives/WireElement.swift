/// What an array of the protocol may hold: nested structs, and a few primitive values.
protocol WireElement: Sendable {
    /// The fewest bytes an element takes, in flexible versions or in the others; 1 or more.
    static func wireBytesMin(_ flexible: Bool) -> Int
    init(from reader: inout WireReader, version: Int16) throws(WireError)
    func encode(into writer: inout WireWriter, version: Int16)
}

extension WireReader {
    /// A count that could not fit into the bytes that are left is refused before room is made for it.
    mutating func readNullableArray<Element: WireElement>(
        _ version: Int16, _ flexible: Bool
    ) throws(WireError) -> [Element]? {
        guard let count = try self.readCount(flexible, elementBytesMin: Element.wireBytesMin(flexible)) else {
            return nil
        }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try Element(from: &self, version: version)) }
        return elements
    }

    mutating func readArray<Element: WireElement>(
        _ version: Int16, _ flexible: Bool
    ) throws(WireError) -> [Element] {
        let at = self.position
        guard let elements: [Element] = try self.readNullableArray(version, flexible) else {
            throw .unexpectedNull(at: at)
        }
        return elements
    }

    package mutating func readNullableArray(_: Int16, _ flexible: Bool) throws(WireError) -> [Int32]? {
        guard let count = try self.readCount(flexible, elementBytesMin: 4) else { return nil }
        var elements: [Int32] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try self.readInt32()) }
        return elements
    }

    package mutating func readArray(_ version: Int16, _ flexible: Bool) throws(WireError) -> [Int32] {
        let at = self.position
        guard let elements: [Int32] = try self.readNullableArray(version, flexible) else {
            throw .unexpectedNull(at: at)
        }
        return elements
    }

    package mutating func readNullableArray(_: Int16, _ flexible: Bool) throws(WireError) -> [String]? {
        guard let count = try self.readCount(flexible, elementBytesMin: flexible ? 1 : 2) else { return nil }
        var elements: [String] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try self.readString(flexible)) }
        return elements
    }

    package mutating func readArray(_ version: Int16, _ flexible: Bool) throws(WireError) -> [String] {
        let at = self.position
        guard let elements: [String] = try self.readNullableArray(version, flexible) else {
            throw .unexpectedNull(at: at)
        }
        return elements
    }

    /// A struct that may be null has a byte in front: negative for null.
    mutating func readNullableStruct<Value: WireElement>(_ version: Int16) throws(WireError) -> Value? {
        guard try self.readInt8() >= 0 else { return nil }
        return try Value(from: &self, version: version)
    }
}

extension WireWriter {
    mutating func writeNullableArray<Element: WireElement>(_ elements: [Element]?, _ version: Int16, _ flexible: Bool) {
        self.writeLength(elements?.count, flexible)
        for element in elements ?? [] { element.encode(into: &self, version: version) }
    }

    mutating func writeArray<Element: WireElement>(_ elements: [Element], _ version: Int16, _ flexible: Bool) {
        self.writeNullableArray(elements, version, flexible)
    }

    package mutating func writeNullableArray(_ elements: [Int32]?, _: Int16, _ flexible: Bool) {
        self.writeLength(elements?.count, flexible)
        for element in elements ?? [] { self.writeInt32(element) }
    }

    package mutating func writeArray(_ elements: [Int32], _ version: Int16, _ flexible: Bool) {
        self.writeNullableArray(elements, version, flexible)
    }

    package mutating func writeNullableArray(_ elements: [String]?, _: Int16, _ flexible: Bool) {
        self.writeLength(elements?.count, flexible)
        for element in elements ?? [] { self.writeString(element, flexible) }
    }

    package mutating func writeArray(_ elements: [String], _ version: Int16, _ flexible: Bool) {
        self.writeNullableArray(elements, version, flexible)
    }

    /// A struct that may be null has a byte in front: negative for null.
    mutating func writeNullableStruct<Value: WireElement>(_ value: Value?, _ version: Int16) {
        guard let value else { return self.writeInt8(-1) }
        self.writeInt8(1)
        value.encode(into: &self, version: version)
    }
}
