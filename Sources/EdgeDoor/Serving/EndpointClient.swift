import ApusBroker
import ApusCore

/// Who the client of a connection is, what it may do, and what it has used. Those who have not said who they are, and
/// come from one address, are one to their loop; everybody else is one for each connection. Owner: its event loop.
final class EndpointClient {
    var context: ClientContext
    var meter: QuotaMeter?

    init(_ context: ClientContext) {
        self.context = context
    }
}
