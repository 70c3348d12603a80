import ApusCore

/// The client's side of one SCRAM login (RFC 5802, section 3): see ``ScramServer`` for the messages.
package struct ScramClient: Sendable {
    /// Why the other side is not to be believed, or not to be logged in with.
    package enum Refusal: Error, Hashable, Sendable {
        case malformed
        /// The server's nonce does not go on from ours: its challenge belongs to another conversation.
        case nonce
        /// So few iterations would give the password away to whoever listens; so many would only keep us busy.
        case iterations(Int32)
        /// The server does not know the password either: it is not the one that we wanted to talk to.
        case serverSignature
        /// What the server said instead of its proof (`e=…`).
        case refused(String)
        case password(PasswordRefusal)
    }

    package let hash: ScramHash
    private let password: Secret
    private let firstBare: [UInt8]
    let nonce: [UInt8]

    /// - Parameter password: printable ASCII, 1 to 1,024 characters (``PasswordRefusal``).
    package init(_ hash: ScramHash, user: String, password: Secret, nonce: ScramNonce) throws(Refusal) {
        if let refusal = PasswordRefusal.refusal(of: password.bytes) { throw .password(refusal) }
        self.hash = hash
        self.password = password
        self.nonce = nonce.bytes
        let name = user.utf8.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: ","): Array("=2C".utf8)
            case UInt8(ascii: "="): Array("=3D".utf8)
            default: [byte]
            }
        }
        self.firstBare = "n=".utf8 + name + ",r=".utf8 + nonce.bytes
    }

    package var first: [UInt8] { "n,,".utf8 + self.firstBare }

    /// The second message, and what shows that the server knew the credential. Slow, as the server wanted it: never on
    /// an event loop.
    package func final(_ challenge: [UInt8]) throws(Refusal) -> (message: [UInt8], proof: ScramServerProof) {
        try self.final(challenge, repeating: [])
    }

    /// - Parameter again: said in front of the nonce, as some clients do.
    func final(
        _ challenge: [UInt8], repeating again: [UInt8]
    ) throws(Refusal) -> (message: [UInt8], proof: ScramServerProof) {
        guard challenge.count <= Limits.scramMessageBytesMax.rawValue else { throw .malformed }
        let parts = challenge.split(separator: UInt8(ascii: ","), maxSplits: 8, omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0].starts(with: "r=".utf8), parts[1].starts(with: "s=".utf8),
            parts[2].starts(with: "i=".utf8), let salt = Base64.standard.decoded(parts[1].dropFirst(2)),
            let iterations = Int32(String(decoding: parts[2].dropFirst(2), as: UTF8.self))
        else { throw .malformed }
        let nonce = parts[0].dropFirst(2)
        guard nonce.count > self.nonce.count, nonce.starts(with: self.nonce) else { throw .nonce }
        guard (Limits.scramIterationsMin...Limits.scramIterationsMax).contains(iterations) else {
            throw .iterations(iterations)
        }
        guard let salted = self.hash.stretched(self.password, salt: salt, iterations: iterations) else {
            throw .malformed
        }
        let clientKey = self.hash.mac(salted, "Client Key".utf8)
        let withoutProof = "c=biws,r=".utf8 + again + nonce
        let comma = [UInt8(ascii: ",")]
        let said = self.firstBare + comma + challenge + comma + withoutProof
        let signature = self.hash.mac(Secret(self.hash.digest(clientKey)), said)
        let proof = Base64.standard.encoded(zip(clientKey, signature).map { $0 ^ $1 })
        let server = self.hash.mac(Secret(self.hash.mac(salted, "Server Key".utf8)), said)
        return (withoutProof + ",p=".utf8 + proof, ScramServerProof(signature: Secret(server)))
    }
}

/// What the server's last message of a login must hold.
package struct ScramServerProof: Sendable {
    let signature: Secret

    package func check(_ message: [UInt8]) throws(ScramClient.Refusal) {
        if message.starts(with: "e=".utf8) {
            throw .refused(String(decoding: message.dropFirst(2).prefix(128), as: UTF8.self))
        }
        let value = message.split(separator: UInt8(ascii: ","), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = value.first, first.starts(with: "v=".utf8),
            let signature = Base64.standard.decoded(first.dropFirst(2))
        else { throw .malformed }
        guard Secret(signature).matches(self.signature) else { throw .serverSignature }
    }
}
