package import ApusAccess
package import ApusCore
import NIOCore

/// One line of the audit log: a JSON object in the topic `__apus_audit`.
///
///     {"time":1750000000000,"principal":"User:alice","address":"10.0.0.7","client":"app","action":"login",
///      "resource":"SCRAM-SHA-512","outcome":"ok"}
///
/// `omitted` says how many of the same kind (denials, failed logins, logins, changes) and principal were left out
/// before this one, `lost` how many records there was no room for.
package struct AuditRecord: Hashable, Sendable {
    package enum Action: String, Sendable {
        case login
        /// Something that was not allowed; the operation stands before the resource.
        case access
        case createUser = "user.set"
        case deleteUser = "user.remove"
        case createKey = "token.create"
        case deleteKey = "token.remove"
        case createAcl = "acl.create"
        case deleteAcl = "acl.delete"
        case alterQuota = "quota.alter"
        case createTopic = "topic.create"
        case deleteTopic = "topic.delete"
        case growTopic = "topic.grow"
        case deleteRecords = "topic.trim"
        case alterConfiguration = "configuration.alter"
        case changeSubscription = "subscription.change"
        case removeSubscription = "subscription.remove"
        /// Damaged records of groups are passed over, because somebody with the files said so.
        case acceptDamage = "damage.accept"
        /// The same of a log's end that is lost.
        case acceptLoss = "loss.accept"
    }

    package enum Outcome: Hashable, Sendable {
        case ok
        case denied
        case failed(String)
    }

    package let time: Timestamp
    package let principal: Principal
    package let address: String
    package let clientID: String
    package let action: Action
    package let resource: String
    package let outcome: Outcome
    package var omitted = 0
    package var lost = 0

    /// Texts are cut here: records wait for the disk, and clients write names as long as a request.
    init(
        time: Timestamp, principal: Principal, address: String, clientID: String, action: Action, resource: String,
        outcome: Outcome
    ) {
        self.time = time
        self.principal = principal
        self.address = address.auditCut
        self.clientID = clientID.auditCut
        self.action = action
        self.resource = resource.auditCut
        self.outcome = if case .failed(let reason) = outcome { .failed(reason.auditCut) } else { outcome }
    }

    func json() -> ByteBuffer {
        var line = ByteBuffer()
        line.writeString("{\"time\":\(self.time.rawValue)")
        line.writeField("principal", self.principal.text.text)
        line.writeField("address", self.address)
        line.writeField("client", self.clientID)
        line.writeField("action", self.action.rawValue)
        line.writeField("resource", self.resource)
        switch self.outcome {
        case .ok: line.writeField("outcome", "ok")
        case .denied: line.writeField("outcome", "denied")
        case .failed(let reason):
            line.writeField("outcome", "failed")
            line.writeField("reason", reason)
        }
        if self.omitted > 0 { line.writeString(",\"omitted\":\(self.omitted)") }
        if self.lost > 0 { line.writeString(",\"lost\":\(self.lost)") }
        line.writeString("}")
        return line
    }
}

extension String {
    /// At most ``Limits/auditTextScalarsMax``; a copy that keeps nothing of the rest.
    var auditCut: String {
        guard self.utf8.count > Limits.auditTextScalarsMax else { return self }
        return String(UnicodeScalarView(self.unicodeScalars.prefix(Limits.auditTextScalarsMax)))
    }
}

extension ByteBuffer {
    /// What does not show itself is escaped (RFC 8259 asks for that of control characters), so that a name from outside
    /// can not forge a line.
    fileprivate mutating func writeField(_ name: String, _ text: String) {
        self.writeString(",\"\(name)\":\"")
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": self.writeString("\\\"")
            case "\\": self.writeString("\\\\")
            case _
            where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                || (0x2028...0x202E).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                self.writeString("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            default: self.writeString(String(scalar))
            }
        }
        self.writeString("\"")
    }
}
