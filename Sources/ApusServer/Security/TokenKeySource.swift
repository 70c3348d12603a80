import ApusAccess
import ApusCore
import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Where the key set of one token issuer comes from, a file or a URL that the operator wrote down, and when it was last
/// read. A set that can not be had leaves the old one in use; without any, no token of the issuer is taken.
///
/// Owner of when to read next; any thread.
final class TokenKeySource: Sendable {
    private enum Place: Sendable {
        case file(WatchedFiles)
        case url(String)
    }

    private struct State {
        var stamps: [WatchedFiles.Stamp] = []
        var nextFetch = Instant(nanoseconds: 0)
        var isFetching = false
        /// The keys as they came, so that the same ones again are no news.
        var text: [UInt8] = []
    }

    private let issuer: ExactText
    private let place: Place
    private let desk: LoginDesk
    private let clock: any Clock
    private let logger: Logger
    private let state = Mutex(State())

    init(
        _ issuer: ServerConfiguration.TokenIssuer, desk: LoginDesk, clock: any Clock, logger: Logger
    ) throws(ServerError) {
        self.issuer = ExactText(issuer.name)
        self.place =
            issuer.keys.contains("://")
            ? .url(try Self.checked(issuer.keys))
            : .file(
                WatchedFiles(paths: [issuer.keys]))
        self.desk = desk
        self.clock = clock
        self.logger = logger
    }

    var isRemote: Bool {
        if case .url = self.place { true } else { false }
    }

    /// Whoever can change the keys on their way logs in as anybody.
    private static func checked(_ text: String) throws(ServerError) -> String {
        guard let url = URL(string: text), let host = url.host(), !host.isEmpty else {
            throw ServerError(.configuration, "\(Self.shown(text)) is no URL of a key set")
        }
        let isHere = host == "localhost" || HostAddress(host)?.isLoopback == true
        guard url.scheme == "https" || (url.scheme == "http" && isHere) else {
            throw ServerError(
                .configuration, "\(Self.shown(text)): a key set comes over https, or over http from this machine")
        }
        return text
    }

    /// For the log and for errors: a URL may have a password in front of its host, and a key behind its path.
    static func shown(_ text: String) -> String {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, let host = parts.host else {
            return "what was given"
        }
        return "\(scheme)://\(host)\(parts.port.map { ":\($0)" } ?? "")\(parts.percentEncodedPath)"
    }

    // MARK: A file

    /// Reads the file, when it has changed or must be. Blocking; nothing for a URL.
    func look(mustRead: Bool = false) throws(ServerError) {
        guard case .file(let files) = self.place else { return }
        let stamps = files.stamps
        guard mustRead || self.state.withLock({ $0.stamps != stamps }) else { return }
        self.state.withLock { $0.stamps = stamps }
        try self.take(try WatchedFiles.read(files.paths[0], upTo: Limits.tokenKeySetBytesMax))
    }

    /// The same, for one that has been read before: what goes wrong leaves the old keys in use.
    func lookAgain(mustRead: Bool = false) {
        do throws(ServerError) {
            try self.look(mustRead: mustRead)
        } catch {
            self.logger.error(
                "the old keys of a token issuer stay in use: \(error.message)", metadata: ["issuer": "\(self.issuer)"])
        }
    }

    // MARK: A URL

    /// Fetches the keys if it is time to, or must be; nothing for a file. The future is done when that has ended, well
    /// or not.
    func fetch(with client: HTTPClient, on loop: any EventLoop, isUrgent: Bool = false) -> EventLoopFuture<Void> {
        guard case .url(let url) = self.place else { return loop.makeSucceededVoidFuture() }
        let now = self.clock.now
        let isTime = self.state.withLock { state in
            guard !state.isFetching, isUrgent || now >= state.nextFetch else { return false }
            state.isFetching = true
            return true
        }
        guard isTime else { return loop.makeSucceededVoidFuture() }
        return self.bytes(at: url, with: client, on: loop).flatMapThrowing { bytes in
            try self.take(bytes)
        }.map {
            self.fetched(next: Limits.tokenKeysRefreshPeriod)
        }.recover { error in
            self.fetched(next: Limits.tokenKeysRetryPeriod)
            let reason = (error as? ServerError)?.message ?? "\(error)"
            self.logger.error(
                "the keys of a token issuer could not be fetched; those there were stay in use",
                metadata: ["issuer": "\(self.issuer)", "url": "\(Self.shown(url))", "reason": "\(reason)"])
        }
    }

    private func bytes(
        at url: String, with client: HTTPClient, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]> {
        let request: HTTPClient.Request
        do {
            request = try HTTPClient.Request(url: url, headers: ["accept": "application/json", "user-agent": "apus"])
        } catch {
            return loop.makeFailedFuture(error)
        }
        let accumulator = ResponseAccumulator(request: request, maxBodySize: Limits.tokenKeySetBytesMax.rawValue)
        let deadline = NIODeadline.now() + .nanoseconds(Limits.tokenKeysFetchMax.wholeNanoseconds)
        return client.execute(
            request: request, delegate: accumulator, eventLoop: .indifferent, deadline: deadline
        ).futureResult.hop(to: loop).flatMapThrowing { response in
            guard response.status == .ok, let body = response.body else {
                throw ServerError(.configuration, "the answer was \(response.status)")
            }
            return Array(body.readableBytesView)
        }
    }

    private func fetched(next wait: Duration) {
        let next = self.clock.now.advanced(by: wait)
        self.state.withLock { state in
            state.isFetching = false
            state.nextFetch = next
        }
    }

    // MARK: Either

    private func take(_ bytes: [UInt8]) throws(ServerError) {
        let keys: TokenKeys
        do throws(TokenKeys.Refusal) {
            keys = try TokenKeys(bytes)
        } catch {
            throw ServerError(.configuration, "no key set (JWKS): \(error)", cause: error)
        }
        self.desk.set(keys, of: self.issuer)
        let isNew = self.state.withLock { state in
            defer { state.text = bytes }
            return state.text != bytes
        }
        guard isNew else { return }
        self.logger.notice(
            "read the keys of a token issuer",
            metadata: ["issuer": "\(self.issuer)", "keys": "\(keys.keys.count)"])
    }
}
