import { tryOrders } from "./model.ts";

Deno.test("in every order of readers, answers, purges, sweeps and clocks, each promise is kept", () => tryOrders(400));
