import sys, msgpack, zmq
socket = zmq.Context.instance().socket(zmq.REQ)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")

def ask(type, **fields):
    socket.send(msgpack.packb({"type": type, **fields}))
    return msgpack.unpackb(socket.recv())

print(ask("CreateBatch", ref="batch-001", sku="RED-CHAIR", qty=20))
print(ask("Allocate", id="order-1/RED-CHAIR", orderid="order-1", sku="RED-CHAIR", qty=2))
print(ask("GetStock", sku="RED-CHAIR"))
