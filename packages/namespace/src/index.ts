// SPDX-License-Identifier: Apache-2.0
export { Broker, type BrokerNode, type BrokerOptions } from './broker.js';
