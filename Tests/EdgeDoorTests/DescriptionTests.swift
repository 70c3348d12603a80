import Foundation
import NIOCore
import Testing

@testable import EdgeDoor

@Suite("What the edge says of itself")
struct DescriptionTests {
    /// What a reference's text leads to.
    private func find(_ reference: String, in document: [String: Any]) -> Any? {
        reference.split(separator: "/").dropFirst().reduce(document as Any?) { place, name in
            (place as? [String: Any])?[String(name)]
        }
    }

    private func references(in value: Any) -> [String] {
        switch value {
        case let object as [String: Any]:
            object.flatMap { name, value in
                name == "$ref" ? [value as? String ?? ""] : self.references(in: value)
            }
        case let array as [Any]: array.flatMap { self.references(in: $0) }
        default: []
        }
    }

    @Test("every operation that is read is told with its fields, and every reference leads somewhere")
    func asyncAPI() throws {
        let text = EdgeDescription.asyncAPI(version: "1.2\"3")
        let bytes = Data(text.readableBytesView)
        let document = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
        #expect(document["asyncapi"] as? String == "3.0.0")
        let operations = try #require(document["operations"] as? [String: Any])
        for (name, fields) in OperationReader.fields {
            #expect(operations[name] != nil, "\(name)")
            let place = "#/components/messages/\(name)/payload/properties"
            let properties = try #require(self.find(place, in: document) as? [String: Any])
            #expect(Set(properties.keys) == Set(fields + ["id", "op"]), "\(name)")
        }
        let references = self.references(in: document)
        #expect(references.count > 40)
        for reference in references { #expect(self.find(reference, in: document) != nil, "\(reference)") }
    }
}
