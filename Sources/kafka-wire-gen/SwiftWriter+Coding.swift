/// Reading and writing of one struct's fields, in wire order.
extension SwiftWriter {
    /// The expression that says whether lengths are compact.
    private var flexible: String {
        switch self.message.flexible.coverage(of: self.served) {
        case .all: "true"
        case .none: "false"
        case .some: "flexible"
        }
    }

    /// - Parameter nested: nil for the message itself.
    mutating func writeCoding(_ nested: StructSchema?) {
        let fields = (nested?.fields ?? self.message.fields).filter { $0.versions.coverage(of: self.served) != .none }
        let tagged = fields.filter { $0.tag != nil }.sorted { ($0.tag ?? 0) < ($1.tag ?? 0) }
        let access = nested == nil ? "public " : ""
        self.line(0, "")
        if let nested {
            self.line(0, "extension \(self.message.typeName).\(nested.name): WireElement {")
            self.line(1, "static func wireBytesMin(_ flexible: Bool) -> Int { \(self.bytesMin(nested)) }")
            self.line(0, "")
        } else {
            self.line(0, "extension \(self.message.typeName) {")
        }
        self.line(1, "\(access)init(from reader: inout WireReader, version: Int16) throws(WireError) {")
        if nested == nil {
            self.line(2, "guard Self.versions.contains(version) else {")
            self.line(3, "throw .unsupportedVersion(api: Self.apiKey, version: version)")
            self.line(2, "}")
        }
        self.writeFlexible()
        self.line(2, "self.init()")
        for field in fields where field.tag == nil { self.writeRead(field) }
        self.writeTaggedRead(tagged)
        self.line(1, "}")
        self.line(0, "")
        self.line(1, "\(access)func encode(into writer: inout WireWriter, version: Int16) {")
        if nested == nil { self.line(2, "precondition(Self.versions.contains(version))") }
        self.writeFlexible()
        for field in fields where field.tag == nil { self.writeWrite(field, depth: 2) }
        self.writeTaggedWrite(tagged)
        self.line(1, "}")
        self.line(0, "}")
    }

    private func bytesMin(_ nested: StructSchema) -> String {
        let flexible = self.message.bytesMin(ofStruct: nested.name, isFlexible: true)
        let other = self.message.bytesMin(ofStruct: nested.name, isFlexible: false)
        guard let flexible, let other, flexible != other else { return "\(flexible ?? other ?? 1)" }
        return "flexible ? \(flexible) : \(other)"
    }

    private mutating func writeFlexible() {
        guard self.flexible == "flexible" else { return }
        self.line(2, "let flexible = \(self.message.flexible.condition(in: self.served))")
    }

    /// One statement under the condition that the version has the field; two when only some versions have null.
    private mutating func writeGuarded(
        _ field: FieldSchema, depth: Int, _ plain: String, nullable: String
    ) {
        let within = self.served.filter { field.versions.contains($0) }
        let nulls = within.filter { field.nullable?.contains($0) ?? false }
        let condition = field.tag == nil ? field.versions.condition(in: self.served) : "true"
        let isMixed = !nulls.isEmpty && nulls.count < within.count
        guard isMixed, let range = field.nullable else {
            let statement = nulls.isEmpty ? plain : nullable
            return self.line(depth, condition == "true" ? statement : "if \(condition) { \(statement) }")
        }
        var depth = depth
        if condition != "true" {
            self.line(depth, "if \(condition) {")
            depth += 1
        }
        self.line(depth, "if \(range.condition(in: self.served)) {")
        self.line(depth + 1, nullable)
        self.line(depth, "} else {")
        self.line(depth + 1, plain)
        self.line(depth, "}")
        if condition != "true" { self.line(depth - 1, "}") }
    }

    /// The default as it is written where the names of nested types are out of scope.
    private func comparable(_ field: FieldSchema) -> String {
        if case .structure = field.type, !field.isOptional(in: self.served) { return ".init()" }
        return field.defaultExpression(in: self.served)
    }

    // MARK: Reading

    private mutating func writeRead(_ field: FieldSchema, depth: Int = 2) {
        self.writeGuarded(
            field, depth: depth, "self.\(field.name) = try \(self.read(field.type, isNullable: false))",
            nullable: "self.\(field.name) = try \(self.read(field.type, isNullable: true))"
        )
    }

    private func read(_ type: FieldType, isNullable: Bool) -> String {
        let null = isNullable ? "Nullable" : ""
        switch type {
        case .array: return "reader.read\(null)Array(version, \(self.flexible))"
        case .structure:
            return isNullable ? "reader.readNullableStruct(version)" : ".init(from: &reader, version: version)"
        default: return "reader.read\(null)\(type.verb)(\(type.hasLength ? self.flexible : ""))"
        }
    }

    private mutating func writeTaggedRead(_ fields: [FieldSchema]) {
        guard self.flexible != "false" else { return }
        let isMixed = self.flexible == "flexible"
        guard !fields.isEmpty else {
            let statement = "try reader.skipTaggedFields()"
            return self.line(2, isMixed ? "if flexible { \(statement) }" : statement)
        }
        let depth = isMixed ? 3 : 2
        if isMixed { self.line(2, "if flexible {") }
        self.line(depth, "try reader.readTaggedFields { tag, reader throws(WireError) in")
        self.line(depth + 1, "switch tag {")
        for field in fields {
            let condition = self.taggedCondition(field).map { " where \($0)" } ?? ""
            self.line(depth + 1, "case \(field.tag ?? 0)\(condition):")
            self.writeRead(field, depth: depth + 2)
        }
        self.line(depth + 1, "default: return false")
        self.line(depth + 1, "}")
        self.line(depth + 1, "return true")
        self.line(depth, "}")
        if isMixed { self.line(2, "}") }
    }

    /// nil when every flexible version has the field.
    private func taggedCondition(_ field: FieldSchema) -> String? {
        let flexible = self.served.filter { self.message.flexible.contains($0) }
        return flexible.allSatisfy { field.versions.contains($0) } ? nil : field.versions.condition(in: self.served)
    }

    // MARK: Writing

    private mutating func writeWrite(_ field: FieldSchema, depth: Int) {
        let value = "self.\(field.name)"
        // Null where the version has none is written as the empty value: encoding never fails.
        let empty = FieldSchema(name: field.name, type: field.type, versions: field.versions)
            .defaultExpression(in: self.served)
        let plain = field.isOptional(in: self.served) ? "\(value) ?? \(empty)" : value
        self.writeGuarded(
            field, depth: depth, self.write(field.type, plain, isNullable: false),
            nullable: self.write(field.type, value, isNullable: true)
        )
    }

    private func write(_ type: FieldType, _ value: String, isNullable: Bool) -> String {
        let null = isNullable ? "Nullable" : ""
        switch type {
        case .array: return "writer.write\(null)Array(\(value), version, \(self.flexible))"
        case .structure:
            if isNullable { return "writer.writeNullableStruct(\(value), version)" }
            return "\(value).encode(into: &writer, version: version)"
        default: return "writer.write\(null)\(type.verb)(\(value)\(type.hasLength ? ", \(self.flexible)" : ""))"
        }
    }

    private mutating func writeTaggedWrite(_ fields: [FieldSchema]) {
        guard self.flexible != "false" else { return }
        let isMixed = self.flexible == "flexible"
        guard !fields.isEmpty else {
            let statement = "writer.writeNoTaggedFields()"
            return self.line(2, isMixed ? "if flexible { \(statement) }" : statement)
        }
        let depth = isMixed ? 3 : 2
        if isMixed { self.line(2, "if flexible {") }
        self.line(depth, "var tags = writer.beginTaggedFields()")
        for field in fields {
            var conditions = self.taggedCondition(field).map { [$0] } ?? []
            conditions.append("self.\(field.name) != \(self.comparable(field))")
            self.line(depth, "if \(conditions.joined(separator: ", ")) {")
            self.line(depth + 1, "writer.writeTaggedField(\(field.tag ?? 0), in: &tags) { writer in")
            self.writeWrite(field, depth: depth + 2)
            self.line(depth + 1, "}")
            self.line(depth, "}")
        }
        if isMixed { self.line(2, "}") }
    }
}
