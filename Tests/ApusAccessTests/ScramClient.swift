import Testing

@testable import ApusAccess

/// The other side of SCRAM, as a client does it: RFC 5802, section 3.
struct ScramClient {
    let hash: ScramHash
    let user: String
    let password: String
    var header = "n,,"
    var nonce = "rOprNGfwEbeRWgbNEkqO"
    var extensions = ""

    var firstBare: String { "n=\(self.user),r=\(self.nonce)\(self.extensions)" }
    var first: [UInt8] { Array((self.header + self.firstBare).utf8) }

    /// The second message for a challenge, and what the server's answer must be.
    func final(_ challenge: [UInt8]) throws -> (message: [UInt8], answer: [UInt8]) {
        let text = String(decoding: challenge, as: UTF8.self)
        let parts = text.split(separator: ",").map { $0.dropFirst(2) }
        try #require(parts.count == 3)
        let salt = try #require(Base64.standard.decoded(Array(parts[1].utf8)))
        let iterations = try #require(Int32(parts[2]))
        let salted = try #require(
            self.hash.stretched(Secret(self.password.utf8), salt: salt, iterations: iterations))
        let clientKey = self.hash.mac(salted, "Client Key".utf8)
        let binding = String(decoding: Base64.standard.encoded(Array(self.header.utf8)), as: UTF8.self)
        let withoutProof = "c=\(binding),r=\(parts[0])"
        let said = Array("\(self.firstBare),\(text),\(withoutProof)".utf8)
        let signature = self.hash.mac(Secret(self.hash.digest(clientKey)), said)
        let proof = Base64.standard.encoded(zip(clientKey, signature).map { $0 ^ $1 })
        let server = self.hash.mac(Secret(self.hash.mac(salted, "Server Key".utf8)), said)
        return (
            Array("\(withoutProof),p=".utf8) + proof, Array("v=".utf8) + Base64.standard.encoded(server)
        )
    }
}

extension ScramUsers {
    /// Users for tests: few iterations, so that a test of many logins is a short one.
    static func having(_ passwords: [String: String], hash: ScramHash = .sha256, secret: UInt8 = 7) throws -> ScramUsers
    {
        var users = ScramUsers(mockSecret: Secret(repeatElement(secret, count: 32)))
        for (name, password) in passwords {
            let salt = Array(hash.digest(Array(name.utf8)).prefix(32))
            let work = try PasswordHashing(password, hash: hash, salt: salt, iterations: 4096)
            let credential = try #require(work.run())
            users.set(credential, of: ExactText(name), hash)
        }
        return users
    }
}

extension ScramServer.Answer {
    var challenge: [UInt8]? { if case .challenge(let bytes) = self { bytes } else { nil } }
    var acceptance: [UInt8]? { if case .accepted(_, let bytes) = self { bytes } else { nil } }
    var acceptedUser: ExactText? { if case .accepted(let user, _) = self { user } else { nil } }
    var refusal: ScramRefusal? { if case .refused(let refusal) = self { refusal } else { nil } }
}
