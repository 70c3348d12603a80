/// Who asks. Passed with every data verb; authorization and quotas decide on it.
package struct ClientContext: Hashable, Sendable {
    /// The authenticated name; `anonymous` without authentication.
    package var principal: String
    /// What the client calls itself; not authenticated, for logs and quotas only.
    package var clientID: String
    /// The peer's address as text.
    package var address: String

    package init(principal: String = "anonymous", clientID: String = "", address: String = "") {
        self.principal = principal
        self.clientID = clientID
        self.address = address
    }
}
