// ws_echo.js PORT - WebSocket echo server on npm's ws, as Debian's node-ws has it.
const { WebSocketServer } = require('/usr/share/nodejs/ws');
new WebSocketServer({ port: +process.argv[2], host: '127.0.0.1', perMessageDeflate: false })
    .on('connection', ws => ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })));
