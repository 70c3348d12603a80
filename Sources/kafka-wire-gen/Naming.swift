extension FieldSchema {
    /// Whether the Swift property is an Optional.
    func isOptional(in served: ClosedRange<Int>) -> Bool {
        self.nullable.map { $0.coverage(of: served) != .none } ?? false
    }

    /// The Swift type of the property.
    func swiftType(in served: ClosedRange<Int>) -> String {
        self.type.swiftName + (self.isOptional(in: served) ? "?" : "")
    }

    /// The Swift expression for the value that a version without this field implies.
    func defaultExpression(in served: ClosedRange<Int>) -> String {
        if self.defaultValue == "null" { return "nil" }
        if let value = self.defaultValue { return self.type == .string ? "\"\(value)\"" : value }
        switch self.type {
        case .int8, .int16, .uint16, .int32, .int64, .float64: return "0"
        case .bool: return "false"
        case .string: return "\"\""
        case .uuid: return ".zero"
        case .error: return ".none"
        case .bytes: return "ByteBuffer()"
        case .records: return self.isOptional(in: served) ? "nil" : "WireRecords()"
        case .array: return "[]"
        case .structure(let name): return self.isOptional(in: served) ? "nil" : "\(name)()"
        }
    }
}

extension FieldType {
    var swiftName: String {
        switch self {
        case .int8: "Int8"
        case .int16: "Int16"
        case .uint16: "UInt16"
        case .int32: "Int32"
        case .int64: "Int64"
        case .float64: "Double"
        case .bool: "Bool"
        case .string: "String"
        case .uuid: "WireUUID"
        case .error: "KafkaErrorCode"
        case .bytes: "ByteBuffer"
        case .records: "WireRecords"
        case .structure(let name): name
        case .array(let element): "[\(element.swiftName)]"
        }
    }

    /// The word in `readWord` and `writeWord`.
    var verb: String {
        switch self {
        case .float64: "Float64"
        case .uuid: "UUID"
        case .error: "Error"
        case .bytes: "Bytes"
        case .records: "Records"
        case .array: "Array"
        case .structure: "Struct"
        default: self.swiftName
        }
    }

    /// Whether its encoding differs between flexible and other versions.
    var hasLength: Bool {
        switch self {
        case .string, .bytes, .records, .array: true
        default: false
        }
    }
}

extension MessageSchema {
    /// The fewest bytes that a struct takes in flexible versions, or in the others: what a count of elements is held
    /// against before anything is reserved. nil when it does not occur in such versions.
    func bytesMin(ofStruct name: String, isFlexible: Bool) -> Int? {
        self.versions(ofStruct: name).filter { self.flexible.contains($0) == isFlexible }
            .map { self.bytesMin(.structure(name), isNullable: false, version: $0) }.min()
    }

    private func bytesMin(_ type: FieldType, isNullable: Bool, version: Int) -> Int {
        let isFlexible = self.flexible.contains(version)
        switch type {
        case .int8, .bool: return 1
        case .int16, .uint16, .error: return 2
        case .int32: return 4
        case .int64, .float64: return 8
        case .uuid: return 16
        case .string: return isFlexible ? 1 : 2
        case .bytes, .records, .array: return isFlexible ? 1 : 4
        case .structure(let name):
            if isNullable { return 1 }
            var count = isFlexible ? 1 : 0
            for field in self.fields(ofStruct: name) where field.tag == nil && field.versions.contains(version) {
                let isNullable = field.nullable?.contains(version) ?? false
                count += self.bytesMin(field.type, isNullable: isNullable, version: version)
            }
            return max(count, 1)
        }
    }
}

/// Lower camel case of an API's name: `DescribeConfigs` is `describeConfigs`.
func lowerCamel(_ name: String) -> String {
    name.prefix(1).lowercased() + name.dropFirst()
}
