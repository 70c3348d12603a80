import ApusCore

/// The server's side of one SCRAM login (RFC 5802, RFC 7677): two messages in, two out.
///
///     client first   n,,n=user,r=abc                 →  r=abcXYZ,s=salt,i=16384     challenge
///     client final   c=biws,r=abcXYZ,p=proof         →  v=signature                 accepted
///
/// The proof is bound to both nonces and to every byte said before, so a recorded one fits no other conversation. With
/// stored keys the whole login costs some six HMACs here; the slow hashing is the client's.
///
/// Every message takes the state away first: whatever goes wrong, there is no second try with the same nonce.
package struct ScramServer: Sendable {
    package enum Answer: Sendable {
        case challenge([UInt8])
        /// The login holds; the message proves to the client that we knew its credential.
        case accepted(user: ExactText, [UInt8])
        case refused(ScramRefusal)
    }

    private struct Challenge: Sendable {
        let first: ScramClientFirst
        let message: [UInt8]
        let nonce: [UInt8]
        let credential: ScramCredential
        let isKnown: Bool
    }

    private enum State: Sendable {
        case fresh(ScramNonce)
        case challenged(Challenge)
        case over
    }

    package let hash: ScramHash
    /// Who says to be logging in, once the first message was read.
    package private(set) var user: ExactText?
    private var state: State

    package init(_ hash: ScramHash, nonce: ScramNonce) {
        self.hash = hash
        self.state = .fresh(nonce)
    }

    package mutating func received(_ message: [UInt8], users: ScramUsers) -> Answer {
        let state = self.state
        self.state = .over
        do throws(ScramRefusal) {
            switch state {
            case .fresh(let nonce):
                let first = try ScramClientFirst(message)
                self.user = first.user
                let challenge = self.challenge(to: first, nonce: nonce, users: users)
                self.state = .challenged(challenge)
                return .challenge(challenge.message)
            case .challenged(let challenge):
                let signature = try self.verified(try ScramClientFinal(message), challenge)
                return .accepted(user: challenge.first.user, "v=".utf8 + Base64.standard.encoded(signature))
            case .over: throw .finished
            }
        } catch {
            return .refused(error)
        }
    }

    private func challenge(to first: ScramClientFirst, nonce: ScramNonce, users: ScramUsers) -> Challenge {
        let (credential, isKnown) = users.challenge(for: first.user, self.hash)
        let nonce = first.nonce + nonce.bytes
        let message =
            "r=".utf8 + nonce + ",s=".utf8 + Base64.standard.encoded(credential.salt)
            + ",i=\(credential.iterations)".utf8
        return Challenge(
            first: first, message: message, nonce: nonce, credential: credential, isKnown: isKnown
        )
    }

    /// The server's signature when the proof holds. An unknown user's proof is computed like everybody's.
    private func verified(_ final: ScramClientFinal, _ challenge: Challenge) throws(ScramRefusal) -> [UInt8] {
        guard final.header == challenge.first.header else { throw .channelBindingChanged }
        // librdkafka before 2.6.1, which is what distributions and kcat ship, says its own half once more in front.
        // That is one text, bound to the whole nonce as the other one is: nothing recorded fits it.
        guard final.nonce == challenge.nonce || final.nonce == challenge.first.nonce + challenge.nonce else {
            throw .nonceMismatch
        }
        guard final.proof.count == self.hash.byteCount else { throw .malformed("proof") }
        let comma = [UInt8(ascii: ",")]
        let said = challenge.first.bare + comma + challenge.message + comma + final.withoutProof
        let credential = challenge.credential
        let signature = self.hash.mac(credential.storedKey, said)
        let clientKey = zip(final.proof, signature).map { $0 ^ $1 }
        let fits = Secret(self.hash.digest(clientKey)).matches(credential.storedKey)
        let answer = self.hash.mac(credential.serverKey, said)
        guard challenge.isKnown else { throw .unknownUser }
        guard fits else { throw .wrongPassword }
        return answer
    }
}
