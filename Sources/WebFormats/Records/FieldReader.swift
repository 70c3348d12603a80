package import ApusCore
package import NIOCore

/// The fields of one object that a client sent, each read with its bounds. Names that the operation does not have are
/// refused: a misspelt `from` that is passed over would begin somewhere else without a word.
package struct FieldReader {
    private let object: JSONObject
    /// What the fields belong to, for messages.
    private let owner: String

    package init(_ object: JSONObject, of owner: String, names: [String]) throws(Problem) {
        for member in object.members where !names.contains(member.name) {
            throw Problem(
                .invalidRequest, "\(owner) has no '\(member.name)'",
                hint: "it has \(names.filter { $0 != "op" && $0 != "id" }.joined(separator: ", "))"
            )
        }
        self.object = object
        self.owner = owner
    }

    /// Nil when the field is absent or null.
    package func value(_ name: String) -> JSONValue? {
        guard let value = self.object[name], !value.isNull else { return nil }
        return value
    }

    /// Whether the field is there, as null or otherwise.
    package func has(_ name: String) -> Bool { self.object[name] != nil }

    package func bytes(_ name: String, max: ByteCount) throws(Problem) -> ByteBuffer? {
        guard let value = self.value(name) else { return nil }
        guard let bytes = value.textBytes else { throw self.refusal(name, "is a string") }
        guard bytes.readableBytes <= max.rawValue else { throw self.refusal(name, "has at most \(max)") }
        return bytes
    }

    package func text(_ name: String, max: ByteCount) throws(Problem) -> String? {
        try self.bytes(name, max: max).map { String(buffer: $0) }
    }

    package func integer(_ name: String, _ range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw self.refusal(name, "is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    package func required<Value>(_ name: String, _ value: Value?) throws(Problem) -> Value {
        guard let value else { throw Problem(.invalidRequest, "\(self.owner) needs '\(name)'") }
        return value
    }

    package func object(_ name: String) throws(Problem) -> JSONObject? {
        guard let value = self.value(name) else { return nil }
        guard value.kind == .object else { throw self.refusal(name, "is an object") }
        do throws(JSONFault) { return try value.object() } catch { throw Problem(error) }
    }

    package func elements(_ name: String, max: Int) throws(Problem) -> [JSONValue]? {
        guard let value = self.value(name) else { return nil }
        guard value.kind == .array else { throw self.refusal(name, "is an array") }
        do throws(JSONFault) { return try value.elements(max: max) } catch { throw Problem(error) }
    }

    package func channel() throws(Problem) -> EdgeChannel {
        let name = try self.required("channel", try self.text("channel", max: Limits.channelNameBytesMax))
        do throws(ChannelNameError) { return try EdgeChannel(name) } catch { throw Problem(error) }
    }

    package func topic() throws(Problem) -> String {
        let name = try self.required("topic", try self.text("topic", max: Limits.channelNameBytesMax))
        if let refusal = TopicName.refusal(of: name) { throw Problem(.invalidRequest, refusal) }
        return name
    }

    package func partition() throws(Problem) -> PartitionIndex? {
        let max = Int64(Limits.partitionsPerTopicMax - 1)
        guard let number = try self.integer("partition", 0...max) else { return nil }
        return PartitionIndex(rawValue: Int32(truncatingIfNeeded: number))
    }

    package func credit() throws(Problem) -> Int? {
        try self.integer("credit", 1...Int64(Limits.edgeCreditMax)).map { Int($0) }
    }

    /// `from` or `cursor`; nil when neither is there.
    package func start() throws(Problem) -> StartPoint? {
        guard let cursors = self.value("cursor") else { return try self.startPoint() }
        guard self.value("from") == nil else {
            throw Problem(.invalidRequest, "\(self.owner) has either 'from' or 'cursor'")
        }
        let max = Limits.cursorTextBytesMax
        if cursors.kind == .string { return try self.bytes("cursor", max: max).map { .cursors([$0]) } }
        guard let elements = try self.elements("cursor", max: Limits.cursorsPerResumeMax), !elements.isEmpty else {
            throw self.refusal("cursor", "is a string, or an array of strings with one at least")
        }
        var texts: [ByteBuffer] = []
        for element in elements {
            guard let text = element.textBytes, text.readableBytes <= max.rawValue else {
                throw self.refusal("cursor", "is a string, or an array of strings of at most \(max)")
            }
            texts.append(text)
        }
        return .cursors(texts)
    }

    private func startPoint() throws(Problem) -> StartPoint? {
        guard let value = self.value("from") else { return nil }
        // An offset may be written as a number, too.
        let text = value.kind == .number ? String(buffer: value.bytes) : value.text
        guard let text, text.utf8.count <= Limits.edgeStartBytesMax.rawValue, let start = StartPoint(text) else {
            throw self.refusal(
                "from", "is 'earliest', 'latest', an offset, '-100', '@' and a time, or 'last value'"
            )
        }
        return start
    }

    package func refusal(_ name: String, _ what: String) -> Problem {
        Problem(.invalidRequest, "'\(name)' of \(self.owner) \(what)")
    }
}
