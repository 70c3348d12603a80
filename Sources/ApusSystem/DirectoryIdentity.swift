package import ApusCore
import CApus
import Foundation

/// Whose data it is: the file `broker.json`, written once, when the directory is first used.
///
/// `{"formatVersion": 1, "clusterID": …, "brokerID": …, "createdAt": ms, "checksum": CRC-32C of the rest}`. Text, for
/// people; the checksum keeps a flipped bit from making another broker of it.
package struct DirectoryIdentity: Hashable, Sendable {
    package static let fileName = "broker.json"
    /// The format of everything in the directory. A newer one is refused, not guessed at.
    package static let formatVersion = 1

    package var clusterID: String
    package var brokerID: BrokerID
    package var createdAt: Timestamp

    package init(clusterID: String, brokerID: BrokerID, createdAt: Timestamp) {
        self.clusterID = clusterID
        self.brokerID = brokerID
        self.createdAt = createdAt
    }

    /// 128 random bits as Kafka writes a cluster's id: 22 characters of base64url.
    package static func newClusterID(from randomness: any Randomness) -> String {
        let bytes = (0..<2).flatMap { _ in withUnsafeBytes(of: randomness.next(), Array.init) }
        let text = Data(bytes).base64EncodedString()
        return String(text.prefix(22)).replacing("+", with: "-").replacing("/", with: "_")
    }

    // MARK: The file

    private struct Fields: Codable {
        var formatVersion: Int
        var clusterID: String
        var brokerID: Int32
        var createdAt: Int64
        var checksum: UInt32
    }

    /// Read before the rest, so that a newer format is called that and not damage.
    private struct Format: Codable {
        var formatVersion: Int
    }

    enum Refusal: Error {
        case damaged(String)
        case newer(Int)
    }

    init(reading bytes: [UInt8]) throws(Refusal) {
        let decoder = JSONDecoder()
        let fields: Fields
        do {
            let format = try decoder.decode(Format.self, from: Data(bytes)).formatVersion
            guard format <= Self.formatVersion else { throw Refusal.newer(format) }
            fields = try decoder.decode(Fields.self, from: Data(bytes))
        } catch let error as Refusal {
            throw error
        } catch {
            throw .damaged("it does not read as ours")
        }
        self.init(
            clusterID: fields.clusterID, brokerID: BrokerID(rawValue: fields.brokerID),
            createdAt: Timestamp(rawValue: fields.createdAt))
        guard fields.formatVersion > 0, fields.brokerID >= 0, fields.checksum == self.checksum(fields.formatVersion)
        else {
            throw .damaged("the checksum is wrong")
        }
    }

    var text: String {
        """
        {
          "formatVersion": \(Self.formatVersion),
          "clusterID": \(Self.quoted(self.clusterID)),
          "brokerID": \(self.brokerID),
          "createdAt": \(self.createdAt.rawValue),
          "checksum": \(self.checksum(Self.formatVersion))
        }

        """
    }

    private func checksum(_ format: Int) -> UInt32 {
        let text = Array("\(format)|\(self.clusterID)|\(self.brokerID)|\(self.createdAt.rawValue)".utf8)
        return text.withUnsafeBytes { capus_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// A JSON string (RFC 8259 section 7): an embedder may choose any name for its cluster.
    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"": "\\\""
            case "\\": "\\\\"
            case _ where scalar.value < 0x20: "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: String(scalar)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
}
