import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// A stream of records, one JSON object a line (`application/x-ndjson`), answered by a stream of reports, one for each
/// line in its order: the record's place, or a problem. The reports begin while the client still sends, so a stream has
/// no end that anybody must wait for.
///
/// What has come is written at once, as one batch for each partition; what comes meanwhile is the next. A line that is
/// no record costs only itself.
enum LineStream {
    static func response(to request: Request, _ target: WriteRoute.Target, _ context: WebContext) -> Response {
        var headers = HTTPFields()
        headers[.contentType] = "application/x-ndjson"
        headers[.cacheControl] = "no-store"
        let body = request.body
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                var lines = LineSplitter()
                for try await piece in body {
                    lines.add(piece)
                    while let batch = lines.next(isLast: false) {
                        try await writer.write(await self.pooled(batch, target, context))
                        try await context.throttle(.producedBytes)
                    }
                }
                while let batch = lines.next(isLast: true) {
                    try await writer.write(await self.pooled(batch, target, context))
                }
                try await writer.finish(nil)
            })
    }

    /// On a thread of the pool: hundreds of lines would keep the event loop from its other connections.
    private static func pooled(
        _ lines: [Result<ByteBuffer, Problem>], _ target: WriteRoute.Target, _ context: WebContext
    ) async -> ByteBuffer {
        await withTaskExecutorPreference(context.door.configuration.pool) {
            await self.reports(on: lines, target, context)
        }
    }

    /// Writes the records of some lines and reports on each.
    private static func reports(
        on lines: [Result<ByteBuffer, Problem>], _ target: WriteRoute.Target, _ context: WebContext
    ) async -> ByteBuffer {
        let read = lines.map { line in
            Result { () throws(Problem) in try self.record(in: try line.get()) }
        }
        let records = read.compactMap { try? $0.get() }
        let bytes = lines.reduce(0) { sum, line in sum + ((try? line.get().readableBytes) ?? 0) }
        context.charge(.producedBytes, bytes)
        var outcomes = await WriteRoute.write(records, to: target, context)[...]
        var reports = ByteBuffer()
        for line in read {
            switch line {
            case .success: if let outcome = outcomes.popFirst() { reports.writeJSON(outcome) }
            case .failure(let problem): reports.writeJSON(problem)
            }
            reports.writeInteger(UInt8(ascii: "\n"))
        }
        return reports
    }

    private static func record(in line: ByteBuffer) throws(Problem) -> WrittenRecord {
        let object: JSONObject
        do throws(JSONFault) { object = try JSONObject(line) } catch { throw Problem(error) }
        return try WriteRoute.record(object)
    }
}
