/// Where `apus serve` serves HTTP.
package enum WebAddress: Hashable, Sendable {
    /// The usual address, if it is free; else nowhere, which the log says.
    case automatic
    case nowhere
    case at(HostPort)

    package static let usual = HostPort(host: "127.0.0.1", port: 8080)

    package init(_ text: String) throws(CommandFailure) {
        switch text {
        case "auto", "": self = .automatic
        case "none": self = .nowhere
        default: self = .at(try HostPort(text))
        }
    }
}
