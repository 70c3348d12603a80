/// Reads our schema table: one file an API, one line a field.
///
///     api Produce 0
///
///     request 3-13 flexible 9+
///         transactionalID  string       3+  nullable  default null
///         topicData        [TopicData]  0+
///             name         string       0-12
///
/// - The first word of a file's first line is `api`, then its name and key. `#` starts a comment line.
/// - `request` and `response` start a message: the versions that we serve, then those that are flexible (`none` if
///   none is).
/// - Other lines are fields: name, type, the versions that have it, and then any of
///   `nullable` (in all of them) or `nullable 9+`, `tag 2`, `default -1`.
/// - Types: int8 int16 uint16 int32 int64 float64 bool string uuid bytes records error (an int16), `Name` for a struct,
///   `[type]` for an array. A struct's fields follow its first use, indented four spaces more; later uses of
///   the same name in the same message share it.
struct SchemaParser {
    struct Failure: Error, CustomStringConvertible {
        var line: Int
        var reason: String
        var description: String { "line \(self.line): \(self.reason)" }
    }

    private struct Line {
        var number: Int
        var depth: Int
        var words: [Substring]
    }

    private var lines: ArraySlice<Line> = []
    private var structs: [StructSchema] = []

    static func parse(_ text: String) throws -> ApiSchema {
        var parser = SchemaParser()
        var lines: [Line] = []
        for (index, text) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = text.split(separator: " ")
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let indent = text.prefix { $0 == " " }.count
            guard indent % 4 == 0 else { throw Failure(line: index + 1, reason: "indent by four spaces") }
            lines.append(Line(number: index + 1, depth: indent / 4, words: words))
        }
        parser.lines = lines[...]
        return try parser.api()
    }

    private mutating func api() throws -> ApiSchema {
        guard let head = self.lines.popFirst(), head.words.count == 3, head.words[0] == "api",
            let key = Int(head.words[2])
        else { throw Failure(line: 1, reason: "expected: api NAME KEY") }
        let name = String(head.words[1])
        let request = try self.message("request", typeName: name + "Request")
        let response = try self.message("response", typeName: name + "Response")
        if let extra = self.lines.first { throw Failure(line: extra.number, reason: "expected the end") }
        return ApiSchema(name: name, key: key, request: request, response: response)
    }

    private mutating func message(_ side: String, typeName: String) throws -> MessageSchema {
        guard let head = self.lines.popFirst(), head.words.count == 4, head.words[0] == side,
            head.words[2] == "flexible", let versions = VersionRange(head.words[1]), let upper = versions.upper,
            let flexible = VersionRange(head.words[3])
        else { throw Failure(line: self.lines.first?.number ?? 0, reason: "expected: \(side) LOW-HIGH flexible N+") }
        self.structs = []
        let fields = try self.fields(depth: 1)
        return MessageSchema(
            typeName: typeName, versions: versions.lower...upper, flexible: flexible, fields: fields,
            structs: self.structs
        )
    }

    private mutating func fields(depth: Int) throws -> [FieldSchema] {
        var fields: [FieldSchema] = []
        while let line = self.lines.first, line.depth == depth {
            self.lines.removeFirst()
            let field = try self.field(line)
            fields.append(field)
            guard let name = field.type.structName else { continue }
            if self.lines.first?.depth == depth + 1 {
                guard !self.structs.contains(where: { $0.name == name }) else {
                    throw Failure(line: line.number, reason: "\(name) is defined twice")
                }
                // The place is taken before its own fields are read, so that outer structs come first.
                let place = self.structs.count
                self.structs.append(StructSchema(name: name, fields: []))
                self.structs[place].fields = try self.fields(depth: depth + 1)
            } else if !self.structs.contains(where: { $0.name == name }) {
                throw Failure(line: line.number, reason: "\(name) has no fields")
            }
        }
        if let line = self.lines.first, line.depth > depth {
            throw Failure(line: line.number, reason: "indented too far")
        }
        return fields
    }

    private func field(_ line: Line) throws -> FieldSchema {
        guard line.words.count >= 3, let versions = VersionRange(line.words[2]) else {
            throw Failure(line: line.number, reason: "expected: NAME TYPE VERSIONS")
        }
        var field = FieldSchema(
            name: String(line.words[0]), type: try Self.type(line.words[1], line.number), versions: versions
        )
        var rest = line.words.dropFirst(3)
        while let word = rest.popFirst() {
            switch word {
            case "nullable":
                field.nullable = versions
                if let next = rest.first, let range = VersionRange(next) {
                    field.nullable = range
                    rest.removeFirst()
                }
            case "tag":
                guard let tag = rest.popFirst().flatMap({ Int($0) }) else {
                    throw Failure(line: line.number, reason: "expected: tag N")
                }
                field.tag = tag
            case "default":
                guard let value = rest.popFirst() else {
                    throw Failure(line: line.number, reason: "expected: default VALUE")
                }
                field.defaultValue = String(value)
            default:
                throw Failure(line: line.number, reason: "unknown word \(word)")
            }
        }
        return field
    }

    private static func type(_ text: Substring, _ line: Int) throws -> FieldType {
        if text.hasPrefix("["), text.hasSuffix("]") { return .array(try self.type(text.dropFirst().dropLast(), line)) }
        if let primitive = FieldType.primitives[String(text)] { return primitive }
        guard text.first?.isUppercase == true else { throw Failure(line: line, reason: "unknown type \(text)") }
        return .structure(String(text))
    }
}
