package import ApusCore
import Dispatch
import Synchronization

/// The catalogue of a broker that starts and goes on whatever is wrong with its file, and that works again when nothing
/// is (promises P7 and P8).
///
/// A file that can not be opened answers every question with the reason. One that takes no changes, because it may not
/// be written to or because its device failed once, answers what it can. Either is opened anew when it is asked for
/// more than it has, at most once in a pause, on a queue of its own; whoever asks meanwhile waits for that. A file
/// whose entries are damaged is left as it is until somebody puts it in order and starts the broker again: checks on
/// opening do not see all of the damage that reading sees.
///
/// Who watches a catalogue that was opened anew is told that it missed something, and reads all of it again.
package final class ReopeningCatalogue: Catalogue {
    private typealias Body = @Sendable (Result<SQLiteCatalogue, CatalogueError>) -> Void

    private struct State {
        var catalogue: SQLiteCatalogue?
        /// Why there is none.
        var reason = CatalogueError.unavailable("it is not open yet")
        /// Questions that wait until it was tried to open it; nil while nobody tries.
        var waiting: [Body]?
        /// Before this it is not tried again.
        var nextTry = Instant(nanoseconds: 0)
        var watches: [ReopeningWatch] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "apus.catalogue.open")
    private let clock: any Clock
    private let pause: Duration
    private let open: @Sendable () throws(SQLiteStoreError) -> SQLiteCatalogue
    private let onReopened: @Sendable (SQLiteCatalogue) -> Void

    /// Opens the file if it can. Blocking.
    /// - Parameters:
    ///   - pause: the shortest time between two attempts to open it.
    ///   - onReopened: called on any thread when it was opened anew.
    package init(
        at path: String, bytesMax: ByteCount = Limits.catalogueBytesDefault, caps: CatalogueCaps = CatalogueCaps(),
        clock: any Clock, pause: Duration = Limits.catalogueRetryPeriod,
        onReopened: @escaping @Sendable (SQLiteCatalogue) -> Void = { _ in }
    ) {
        self.clock = clock
        self.pause = pause
        self.open = { () throws(SQLiteStoreError) in try SQLiteCatalogue(at: path, bytesMax: bytesMax, caps: caps) }
        self.onReopened = onReopened
        let opened = Result(catching: self.open)
        self.state.withLock { state in
            state.nextTry = clock.now.advanced(by: pause)
            switch opened {
            case .success(let catalogue): state.catalogue = catalogue
            case .failure(let error): state.reason = CatalogueError(error)
            }
        }
    }

    /// Why it takes no changes at present, or can not even be read; nil when it does as far as is known.
    package var problem: CatalogueError? {
        self.state.withLock { state in
            guard let catalogue = state.catalogue else { return state.reason }
            return catalogue.failure ?? (catalogue.isReadOnly ? .readOnly("it may not be written to") : nil)
        }
    }

    /// The file as it is open now.
    var current: SQLiteCatalogue? { self.state.withLock { $0.catalogue } }

    /// Does what is waiting and lets go of the files. Blocking; nothing may be asked afterwards.
    package func close() throws(SQLiteStoreError) {
        // Whoever opens it is done after this, and nobody begins.
        self.state.withLock { $0.isClosed = true }
        self.queue.sync {}
        try self.state.withLock { $0.catalogue.take() }?.close()
    }

    // MARK: Asking

    package func consumers(
        _ query: ConsumerQuery,
        then: @escaping @Sendable (Result<CataloguePage<RegisteredConsumer, ConsumerName>, CatalogueError>) -> Void
    ) {
        self.ask(then) { $0.consumers(query, then: then) }
    }

    package func subscriptions(
        _ query: SubscriptionQuery,
        then:
            @escaping @Sendable (Result<CataloguePage<RegisteredSubscription, SubscriptionName>, CatalogueError>) ->
            Void
    ) {
        self.ask(then) { $0.subscriptions(query, then: then) }
    }

    package func audit(
        _ query: AuditQuery,
        then: @escaping @Sendable (Result<CataloguePage<AuditEntry, AuditNumber>, CatalogueError>) -> Void
    ) {
        self.ask(then) { $0.audit(query, then: then) }
    }

    package func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void
    ) {
        self.ask(then, isChange: true) { $0.commit(transaction, then: then) }
    }

    package func note(_ uses: [SubscriptionUse], then: @escaping @Sendable (Result<Void, CatalogueError>) -> Void) {
        self.ask(then, isChange: true) { $0.note(uses, then: then) }
    }

    package func watch(
        after version: CatalogueVersion, onEvent: @escaping @Sendable (CatalogueEvent) -> Void
    ) -> any CatalogueWatch {
        let watch = ReopeningWatch(onEvent)
        self.state.withLock { state in
            state.watches.removeAll { $0.isOver }
            state.watches.append(watch)
        }
        self.ask { result in
            switch result {
            case .success(let catalogue): watch.follow(catalogue, after: version)
            case .failure: watch.miss()
            }
        }
        return watch
    }

    private func ask<Answer>(
        _ then: @escaping @Sendable (Result<Answer, CatalogueError>) -> Void, isChange: Bool = false,
        _ body: @escaping @Sendable (SQLiteCatalogue) -> Void
    ) {
        self.ask(isChange: isChange) { result in
            switch result {
            case .success(let catalogue): body(catalogue)
            case .failure(let error): then(.failure(error))
            }
        }
    }

    // MARK: Opening it again

    private func ask(isChange: Bool = false, _ body: @escaping Body) {
        enum Next {
            case now(Result<SQLiteCatalogue, CatalogueError>)
            case wait
            case open
        }
        let next = self.state.withLock { state -> Next in
            if state.waiting != nil {
                state.waiting?.append(body)
                return .wait
            }
            if let catalogue = state.catalogue, !(isChange && catalogue.mayBeBetterAnew) {
                return .now(.success(catalogue))
            }
            guard self.clock.now >= state.nextTry, !state.isClosed else {
                return .now(state.catalogue.map { .success($0) } ?? .failure(state.reason))
            }
            state.waiting = [body]
            return .open
        }
        switch next {
        case .now(let result): body(result)
        case .wait: break
        case .open: self.queue.async { self.openAnew() }
        }
    }

    private func openAnew() {
        let before = self.state.withLock { $0.catalogue }
        // After its device failed nothing that the old connection believes may be believed by the new one.
        let isGone = before?.failure != nil
        if let before, isGone {
            self.state.withLock { $0.catalogue = nil }
            self.close(before)
        }
        let opened = Result(catching: self.open)
        var new: SQLiteCatalogue?
        if case .success(let catalogue) = opened {
            if before == nil || isGone || !catalogue.isReadOnly { new = catalogue } else { self.close(catalogue) }
        }
        let watches = self.state.withLock { state -> [ReopeningWatch] in
            state.nextTry = self.clock.now.advanced(by: self.pause)
            if case .failure(let error) = opened { state.reason = CatalogueError(error) }
            guard let new else { return [] }
            state.catalogue = new
            defer { state.watches = [] }
            return state.watches
        }
        if let new {
            for watch in watches { watch.miss() }
            if let before, !isGone { self.close(before) }
            self.onReopened(new)
        }
        self.answerWaiting()
    }

    /// In the order in which they came; who comes meanwhile is behind them.
    private func answerWaiting() {
        while true {
            let (bodies, result) = self.state.withLock { state in
                let bodies = state.waiting ?? []
                state.waiting = bodies.isEmpty ? nil : []
                return (bodies, state.catalogue.map { Result.success($0) } ?? .failure(state.reason))
            }
            guard !bodies.isEmpty else { return }
            for body in bodies { body(result) }
        }
    }

    private func close(_ catalogue: SQLiteCatalogue) {
        // Its log stays where it is, and the next to open the file folds it in.
        try? catalogue.close()
    }
}

extension SQLiteCatalogue {
    /// It takes no changes, for a reason that may be over.
    fileprivate var mayBeBetterAnew: Bool {
        switch self.failure {
        case nil: self.isReadOnly
        case .corrupt: false
        default: true
        }
    }
}

extension CatalogueError {
    fileprivate init(_ error: SQLiteStoreError) {
        switch error {
        case .missing, .foreign, .newerFormat, .unavailable: self = .unavailable("\(error)")
        case .damaged: self = .corrupt("\(error)")
        case .readOnly: self = .readOnly("\(error)")
        case .locked: self = .busy("\(error)")
        case .full: self = .full("\(error)")
        }
    }
}

/// A watch that ends when the catalogue is opened anew.
private final class ReopeningWatch: CatalogueWatch {
    private struct State {
        var inner: (any CatalogueWatch)?
        var isOver = false
    }

    private let state = Mutex(State())
    private let onEvent: @Sendable (CatalogueEvent) -> Void

    init(_ onEvent: @escaping @Sendable (CatalogueEvent) -> Void) {
        self.onEvent = onEvent
    }

    var isOver: Bool { self.state.withLock { $0.isOver } }

    func follow(_ catalogue: SQLiteCatalogue, after version: CatalogueVersion) {
        guard !self.isOver else { return }
        let inner = catalogue.watch(after: version) { [onEvent] in onEvent($0) }
        let isOver = self.state.withLock { state in
            state.inner = inner
            return state.isOver
        }
        if isOver { inner.cancel() }
    }

    func cancel() { _ = self.end() }

    func miss() {
        if self.end() { self.onEvent(.missed) }
    }

    /// - Returns: false if it was over.
    private func end() -> Bool {
        let (wasOver, inner) = self.state.withLock { state in
            defer { (state.isOver, state.inner) = (true, nil) }
            return (state.isOver, state.inner)
        }
        inner?.cancel()
        return !wasOver
    }
}
