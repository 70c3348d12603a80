import ApusClient
import ApusCommand
import ApusCore
import Testing

@Suite struct ClientMappingTests {
    @Test(
        "what the client throws becomes an exit code that scripts can rely on",
        arguments: [
            (.unreachable, .unreachable), (.notAuthorized, .denied), (.invalidArgument, .usage),
            (.invalidConfiguration, .usage), (.recordTooLarge, .badData), (.corrupt, .badData), (.timedOut, .retryable),
            (.connectionLost, .retryable), (.notEnoughReplicas, .retryable), (.unknownTopic, .failure),
            (.topicExists, .failure), (.storage, .failure), (.refused, .failure),
        ] as [(ApusError.Code, Exit)]
    )
    func exits(code: ApusError.Code, exit: Exit) {
        #expect(CommandFailure(ApusError(code, "why"), servers: "a:1").exit == exit)
    }

    @Test("an error that may pass is retryable, whatever its code")
    func retryable() {
        #expect(CommandFailure(ApusError(.refused, "why", isRetryable: true), servers: "a:1").exit == .retryable)
        #expect(CommandFailure(ApusError(.storage, "full", isRetryable: true), servers: "a:1").exit == .retryable)
    }

    @Test("the words name the server, the code has no spaces, and what is not known is said")
    func words() {
        let unreachable = CommandFailure(ApusError(.unreachable, "refused"), servers: "a:1")
        #expect(unreachable.message == "no broker answers at a:1 (refused)")
        #expect(CommandFailure(ApusError(.unknownTopic, "x"), servers: "a:1").code == "unknown_topic")
        let late = CommandFailure(ApusError(.timedOut, "late", isIndefinite: true), servers: "a:1")
        #expect(late.message == "late; whether it happened is not known")
    }

    @Test("a broker's error comes with its name and the broker, for people and for programs")
    func brokersError() {
        let error = ApusError(
            .topicExists, "orders is there", broker: "10.0.0.1:9092", brokerID: BrokerID(rawValue: 3), topic: "orders")
        var failure = CommandFailure(error, servers: "a:1")
        failure.kafkaError = "TOPIC_ALREADY_EXISTS"
        #expect(
            failure.text(in: .plain) == """
                apus: orders is there (TOPIC_ALREADY_EXISTS, from broker 3 at 10.0.0.1:9092)
                  try: apus topic describe orders shows it; --if-missing accepts it

                """)
        #expect(failure.json.compact.contains(#""kafka_error":"TOPIC_ALREADY_EXISTS""#))
        #expect(failure.json.compact.contains(#""broker":"broker 3 at 10.0.0.1:9092""#))
    }

    @Test("what to do about a partition that is not there is not to make the topic")
    func partition() {
        let error = ApusError(.unknownTopic, "hello has 3 partitions, there is no 7", topic: "hello")
        #expect(CommandFailure(error, servers: "a:1").next?.contains("apus topic grow hello") == true)
    }

    @Test("positions become where a reader starts")
    func starts() {
        let now = Timestamp(rawValue: 10_000)
        let starts = [PartitionIndex(rawValue: 0): Offset(rawValue: 7), PartitionIndex(rawValue: 1): .zero]
        #expect(Position.start.readerStart(at: now) == .start)
        #expect(Position.end.readerStart(at: now) == .end)
        #expect(Position.beforeEnd(3).readerStart(at: now) == .last(3))
        #expect(Position.ago(.seconds(4)).readerStart(at: now) == .time(Timestamp(rawValue: 6000)))
        #expect(
            Position.afterStart(5).readerStart(at: now, starts: starts)
                == .offsets([
                    PartitionIndex(rawValue: 0): Offset(rawValue: 12), PartitionIndex(rawValue: 1): Offset(rawValue: 5),
                ]))
        #expect(
            Position.afterStart(.max).readerStart(at: now, starts: [PartitionIndex(rawValue: 0): Offset(rawValue: 1)])
                == .offsets([PartitionIndex(rawValue: 0): Offset(rawValue: .max)]))
    }

    @Test("reading stops at the end, an offset or a time, and nowhere else")
    func ends() throws {
        let now = Timestamp(rawValue: 10_000)
        #expect(try Position.end.readerEnd(at: now) == .end)
        #expect(try Position.offset(.zero).readerEnd(at: now) == .offset(.zero))
        #expect(try Position.ago(.seconds(1)).readerEnd(at: now) == .time(Timestamp(rawValue: 9000)))
        for position in [Position.start, .beforeEnd(1), .afterStart(1)] {
            #expect(throws: CommandFailure.self) { try position.readerEnd(at: now) }
        }
    }

    @Test(
        "a position stands for an offset between start and end",
        arguments: [
            (.start, 10), (.end, 20), (.offset(Offset(rawValue: 15)), 15), (.beforeEnd(3), 17), (.beforeEnd(.max), 10),
            (.afterStart(3), 13), (.afterStart(.max), 20),
        ] as [(Position, Int64)]
    )
    func offsets(position: Position, offset: Int64) {
        #expect(
            position.offset(start: Offset(rawValue: 10), end: Offset(rawValue: 20)) == Offset(rawValue: offset))
    }

    @Test(
        "settings may have units where the protocol wants milliseconds or bytes",
        arguments: [
            ("retention.ms=7d", "604800000"), ("retention.ms=-1", "-1"), ("segment.bytes=1MiB", "1048576"),
            ("cleanup.policy=compact", "compact"), ("a=b=c", "b=c"), ("a=", ""),
        ]
    )
    func settings(text: String, value: String) throws {
        #expect(try KeyValue.setting(text).value == value)
    }

    @Test(
        "what is no setting is refused", arguments: ["", "=", "=x", "name", "retention.ms=soon", "segment.bytes=big"])
    func badSettings(text: String) {
        #expect(throws: CommandFailure.self) { try KeyValue.setting(text) }
    }
}
